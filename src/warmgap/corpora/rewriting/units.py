"""Words for numbers, and units under one name each."""

from __future__ import annotations

_ALIASES = {
    "percent": "% pct",
    "dollar": "$ dollars usd bucks",
    "euro": "€ euros eur",
    "pound": "£ pounds gbp lb lbs",
    "yen": "¥ jpy",
    "cent": "cents",
    "millimetre": "mm millimetres millimeter millimeters",
    "centimetre": "cm centimetres centimeter centimeters",
    "metre": "m metres meter meters",
    "kilometre": "km kms kilometres kilometer kilometers",
    "mile": "miles mi",
    "inch": "inches",
    "foot": "feet ft",
    "yard": "yards yd",
    "acre": "acres",
    "milligram": "mg milligrams",
    "gram": "g grams",
    "kilogram": "kg kgs kilograms kilo kilos",
    "ounce": "oz ounces",
    "ton": "tons tonne tonnes",
    "millilitre": "ml millilitres milliliter milliliters",
    "litre": "l litres liter liters",
    "gallon": "gallons gal",
    "cup": "cups",
    "tablespoon": "tbsp tablespoons",
    "teaspoon": "tsp teaspoons",
    "millisecond": "ms milliseconds",
    "second": "seconds sec secs",
    "minute": "minutes min mins",
    "hour": "hours hr hrs h",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years yr yrs",
    "decade": "decades",
    "century": "centuries",
    "degree": "degrees °",
    "celsius": "°c",
    "fahrenheit": "°f",
    "kelvin": "kelvins",
    "kilobyte": "kb kilobytes",
    "megabyte": "mb megabytes",
    "gigabyte": "gb gigabytes",
    "terabyte": "tb terabytes",
    "byte": "bytes",
    "bit": "bits",
    "hertz": "hz",
    "megahertz": "mhz",
    "gigahertz": "ghz",
    "watt": "w watts",
    "kilowatt": "kw kilowatts",
    "volt": "v volts",
    "amp": "amps ampere amperes",
    "calorie": "calories kcal cal",
    "joule": "joules j",
    "mph": "",
    "kph": "km/h kmh",
    "pixel": "pixels px",
}
UNITS = {alias: unit for unit, others in _ALIASES.items() for alias in (unit, *others.split())}
"""Name of a unit by each way to write it, in lower case."""

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
CARDINALS = {word: n for n, word in enumerate(_ONES)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
"""Numbers as words up to ninety."""

_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
    *("eighteenth", "nineteenth", "twentieth"),
)
SUCH_AS = {word: str(n) for n, word in enumerate(_ORDINALS, 1)} | {
    **dict.fromkeys(("once", "single", "a"), "1"),
    **dict.fromkeys(("both", "twice", "couple", "pair", "double"), "2"),
    **dict.fromkeys(("half", "halves"), "0.5"),
    "quarter": "0.25",
    "quarters": "0.25",
    "triple": "3",
    "hundred": "100",
    "thousand": "1000",
}
"""Words that say a number without being one: they stand for it, but are no number to keep."""

SCALES = {"dozen": ("12", 0), "hundred": ("", 2), "thousand": ("", 3), "million": ("", 6), "billion": ("", 9)}
SCALES |= {"trillion": ("", 12)}
"""What a word multiplies by: a factor, or a number of zeros."""
