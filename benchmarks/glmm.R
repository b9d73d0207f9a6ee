# CPU seconds (user and system) of one fit, without reading data or starting R, and its log-likelihood.
#   Rscript glmm.R DATA.csv FORMULA glmer_nAGQ0|glmmTMB

arguments <- commandArgs(trailingOnly = TRUE)
formula <- as.formula(arguments[2])
engine <- arguments[3]
suppressPackageStartupMessages(library(if (engine == "glmmTMB") "glmmTMB" else "lme4", character.only = TRUE))
data <- read.csv(arguments[1], stringsAsFactors = TRUE)
data$question <- factor(data$question)

started <- proc.time()
fit <- switch(engine,
  glmer_nAGQ0 = glmer(formula, data, binomial, nAGQ = 0),
  glmmTMB = glmmTMB(formula, data, family = binomial)
)
used <- proc.time() - started
cat(sprintf("{\"cpu_s\": %.3f, \"log_likelihood\": %.6f}\n", used[[1]] + used[[2]], as.numeric(logLik(fit))))
