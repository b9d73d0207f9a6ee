"""Sentences of the reanalysis page that hold whatever its numbers are."""

from __future__ import annotations

BACKGROUND = (
    "Ibrahim, Hafner and Rocher (Nature, 2026) trained five language models to answer warmly and counted "
    "their wrong answers before and after, on four tasks, with and without personal context and a wrong view "
    "of the user. Their tests take each answer as a trial of its own. This page takes the 792 pairs of error "
    "rates that they published and asks what these say about models like those five. No model was run for it."
)
UNKNOWN = (
    "How far another training run of the same model would differ: each model was trained once.",
    "What is due to warmth and what to training as such: no arm was trained on the same conversations in a "
    "neutral tone.",
    "Errors by question: answers are not published, so questions cannot be paired over contexts or models.",
)
HOW_TO_READ = (
    "Each effect is first worked out in each model, tasks and contexts counted alike, in percentage points "
    "(pp): errors of the changed model less those of the original. Then the models are averaged, each "
    "counted once.",
    "“Only answers vary” is the interval if these very models were all that matters, at its widest that the "
    "cells allow. “Over models” takes the models as a sample of models like these (t interval). “One more "
    "model” says where the effect in a further such model is expected. “Models differ” is the standard "
    "deviation of the models' true effects, and the share of the spread between the models that the chance "
    "of answers cannot account for; both are lower ends. Five models that all agree in sign give p = 0.063 "
    "in a test on signs alone, and can give no less.",
)
TESTS = (
    "The paper corrects within each model, task and belief setting (9 cells). One family over all cells "
    "gives nearly the same, since most p-values are very small. That is no evidence for other models: each "
    "of these tests is about one cell of one model, with answers as the only chance.",
)
LIMITS = (
    "Five models, chosen on purpose and not drawn from anything: “models like these” is a reading, not a "
    "sampling frame. Two of them are one family in two sizes. The t interval takes the effects as normal.",
    "Equal weights: each model, task and context counts once, however many questions it has. Disinfo has 125 "
    "questions and counts like the 500 of each other task.",
    "Pairing by question is unavailable. Within a cell the paired table could often be recovered (see "
    "Method); over cells, how far answers to one question go together is unknown, so both extremes are "
    "worked out.",
    "With a belief the prompts differ in more than the belief: two belief templates are pooled, a neutral "
    "filler sentence is added (except with stakes), and MedQA questions change their form. The cell with the "
    "filler and no belief, which would tell these apart, is not published.",
    "The cells without context have no filler sentence either, so what a context adds includes what any "
    "sentence before the question does.",
    "Five sentences stand for each context. Another five may do more or less; no interval here covers that.",
    "The judge was one language model, of the family of one of the five.",
)
INTERVALS = (
    "Interval over models: mean \N{PLUS-MINUS SIGN} t sd / \N{SQUARE ROOT}M with M \N{MINUS SIGN} 1 degrees "
    "of freedom. One more model: mean \N{PLUS-MINUS SIGN} t sd \N{SQUARE ROOT}(1 + 1/M). Standard deviation "
    "of true effects: the observed variance less the mean variance due to answers (Hedges and Olkin 1985), "
    "at least 0. One family: Benjamini and Hochberg (1995)."
)
LLAMA_70B = (
    "Llama-70b is a case of its own: in the public sample 58 of its 80 original answers begin with a stray "
    "word of a chat header, so its baseline may be worse than the model is."
)
