"""A blinded pairwise study of warmth with people: which of two replies to one prompt is warmer?

    python -m warmgap.warmth.human_study export ...   # pairs, raters' slots, a page; the key apart
    python -m warmgap.warmth.human_study import ...   # ratings -> table human_warmth

The design is the paper's (SI 1.4): 200 pairs of original against warm, 60 raters, 600 ratings.
"""
