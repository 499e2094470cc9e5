"""nupunkt's abbreviations, corrected for reasoning text.

The model learnt from scanned legal English: its list of 5,865 abbreviations holds "ok", "sum" and
"walk", and every single letter. A full stop after these mostly ends a sentence here.
"""

from functools import cache

from nupunkt import PunktSentenceTokenizer, load_default_model

_PLAIN_WORDS = (
    "add all black book bold call can century code day divide enter equal fish flag flip found"
    " free hand hard how human just lack lead life low luck me month nonsense ok okay ouch pen pick"
    " pop raw rest rounds row saw series sleep so story sum table tables tasks tax ten thanks walk"
    " wave week wheel will win works"
).split()
_MORE_ABBREVIATIONS = ["thm", "lem", "cor", "defn", "wrt", "mins", "secs", "deg", "coef"]

# These introduce what follows, capital or not.
NEVER_FINAL = frozenset("e.g i.e eg ie cf vs viz ca esp incl w.r.t wrt s.t w.l.o.g wlog".split())
# These may stand before a capital that is a name or a label, so nupunkt decides.
BEFORE_NAMES = frozenset(
    "mr mrs ms mx dr prof st mt ft rev hon gen col capt lt sgt gov sen rep pres messrs mme mlle"
    " fig figs eq eqs eqn eqns sec secs ch chap vol pt thm lem prop cor def ex exs ref refs app"
    " jan feb mar apr jun jul aug sep sept oct nov dec univ dept inst jr sr deg approx resp".split()
)
# After a single capital and a stop, these begin a sentence and are no surname ("the set S. Then").
STARTERS = frozenset(
    "a actually after again all also alternatively although an and another answer are as assume"
    " assuming at because both but by can case check clearly combining compute conclusion"
    " consequently consider correct do does each either even every finally first for from further"
    " furthermore get given good great he hence here hmm how however i if in indeed instead is it its"
    " let maybe moreover my next no not note nothing now of ok okay on once one or otherwise our"
    " perhaps plug plugging recall right second she similarly since so solution some step still"
    " substituting subtracting suppose that the then there therefore these they think this those"
    " though thus to together total two under unless until us using verify wait we well what when"
    " where whether which while who why with without yes yet you".split()
)


@cache
def tokenizer() -> PunktSentenceTokenizer:
    """Loads nupunkt's model once per process (0.03 s) and corrects its list of abbreviations."""
    # Not nupunkt.load, whose tokenizer is shared with everyone who asks for the same model.
    corrected = load_default_model()
    corrected.add_abbreviations(_MORE_ABBREVIATIONS)
    # Beyond Latin the list holds sentence-final verb forms of Korean and Persian.
    beyond_latin = [word for word in corrected.abbreviations if word > "\u0370"]
    for word in (*_PLAIN_WORDS, *beyond_latin):
        corrected.remove_abbreviation(word)
    return corrected
