"""What a product says about who buys it: groups over the data set's product texts.

Each group is a regular expression searched in the text `DEPARTMENT|CATEGORY|TYPE` of a product
(its three levels, as published, in capitals).
"""

# Health is left out on purpose: what a pharmacy shelf tells is not for marketing.
NEEDS = {
    "baby": r"DIAPERS & DISPOSABLES|\|INFANT FORMULA\||\|BABY FOODS\||\|BABY HBC\|",
    "dog": r"\|DOG FOODS\|",
    "cat": r"\|CAT FOOD\||\|CAT LITTER\|",
    "quick-meal": r"\|FRZN MEAT/MEAT DINNERS\||\|FROZEN PIZZA\||\|HEAT/SERVE\||\|PREPARED FOOD\|",
    "car": r"\|GASOLINE",
    "celebration": r"PARTY SPLY|\|FLORAL BALLOONS\||PARTY TRAYS",
}

# Owning the product shows the technology; the data knows nothing else about devices.
TECHNOLOGY = {
    "prepaid-mobile": r"PREPAID WIRELESS",
    "film-photo": r"PHOTOFINISHING|SINGLE USE CAMERAS|PRINT FILM|\|APS$",
    "home-video": r"\|AUDIO/VIDEO PRODUCTS\|.*(?:DVD|VHS|VIDEO|KIDS/FAMILY)",
}

VALUES = {
    "organic": r"ORGANIC",
    "wellness": r"^NUTRITION\||VITAMIN|\|DIETARY AID PRODUCTS\|",
    "gourmet": r"^CHEF SHOPPE\||^SEAFOOD\||\|IMPORTED WINE\||ULTRA PREMIUM|CHEESE:SPECIALTY",
    "fresh": r"^(?:PRODUCE|MEAT|SEAFOOD|SALAD BAR)\|",
}

FUEL = r"\|GASOLINE"

# Categories that a household uses up and buys again, whatever the season.
CONSUMABLES = frozenset(
    {
        "BATH TISSUES",
        "CAT FOOD",
        "CAT LITTER",
        "COFFEE",
        "DEODORANTS",
        "DIAPERS & DISPOSABLES",
        "DISHWASH DETERGENTS",
        "DOG FOODS",
        "FACIAL TISS/DNR NAPKIN",
        "FD WRAPS/BAGS/TRSH BG",
        "FEMININE HYGIENE",
        "HAIR CARE PRODUCTS",
        "INFANT FORMULA",
        "LAUNDRY DETERGENTS",
        "ORAL HYGIENE PRODUCTS",
        "PAPER TOWELS",
        "SHAVING CARE PRODUCTS",
        "SOAP - LIQUID & BAR",
        "VITAMINS",
    }
)
