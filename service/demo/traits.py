"""The demo's traits: what each one says of a household, its type and its dimension."""

from typing import Literal, NamedTuple

TraitType = Literal["string", "number", "money", "instant", "date", "list"]
Dimension = Literal[
    "demographic", "geographic", "psychographic", "technographic", "behavioral", "needs", "value"
]


class Trait(NamedTuple):
    name: str
    type: TraitType
    dimension: Dimension
    description: str


# An order is a basket, whatever its total; revenue is what the shop received, refunds of coupons
# by their manufacturers included. A window of n days is (now - n days, now]. A line is one
# product of a basket, whatever its quantity: fuel is counted in thousandths of a gallon.
# Shares are of 1. Hours and weekdays are those of the stores, not of the workspace.
TRAITS: tuple[Trait, ...] = (
    Trait("age_band", "string", "demographic", "Age of the main shopper, as surveyed: 45-54, 65+."),
    Trait("age_min", "number", "demographic", "Lowest age of the band."),
    Trait("income_band", "string", "demographic", "Household income a year, in thousands: 50-74K."),
    Trait("income_min", "money", "demographic", "Lowest income of the band; Under 15K is 0."),
    Trait(
        "home_ownership",
        "string",
        "demographic",
        "Homeowner, Renter, Probable Homeowner or Probable Renter.",
    ),
    Trait("marital_status", "string", "demographic", "Married or Unmarried."),
    Trait("household_size", "number", "demographic", "People in the household; 5 is five or more."),
    Trait(
        "household_type",
        "string",
        "demographic",
        "1 Adult Kids, 1 Adult No Kids, 2 Adults Kids or 2 Adults No Kids.",
    ),
    Trait("kids", "number", "demographic", "Children in the household; 3 is three or more."),
    Trait("orders", "number", "behavioral", "Baskets ever."),
    Trait("orders_30d", "number", "behavioral", "Baskets of the last 30 days."),
    Trait("orders_90d", "number", "behavioral", "Baskets of the last 90 days."),
    Trait("orders_365d", "number", "behavioral", "Baskets of the last 365 days."),
    Trait("first_order_at", "instant", "behavioral", "When the first basket was paid."),
    Trait("last_order_at", "instant", "behavioral", "When the latest basket was paid."),
    Trait(
        "median_gap_days",
        "number",
        "behavioral",
        "Median days between successive baskets; absent with one basket.",
    ),
    Trait("lines", "number", "behavioral", "Product lines of all baskets."),
    Trait("lines_365d", "number", "behavioral", "Product lines of the last 365 days."),
    Trait("lines_per_order", "number", "behavioral", "Product lines a basket, on average."),
    Trait("distinct_products", "number", "behavioral", "Different products ever bought."),
    Trait("departments", "list", "behavioral", "Departments ever bought from, in ABC order."),
    Trait("favourite_department", "string", "behavioral", "Department with the highest spend."),
    Trait(
        "favourite_department_share",
        "number",
        "behavioral",
        "The favourite department's share of the spend.",
    ),
    Trait(
        "favourite_category",
        "string",
        "psychographic",
        "Product category with the highest spend, fuel aside.",
    ),
    Trait(
        "favourite_category_share",
        "number",
        "psychographic",
        "The favourite category's share of the spend, fuel aside.",
    ),
    Trait(
        "private_label_share", "number", "behavioral", "Share of the spend on the shop's brands."
    ),
    Trait(
        "discount_share",
        "number",
        "behavioral",
        "Share of baskets with a loyalty-card, coupon or coupon-match discount.",
    ),
    Trait(
        "discount_amount_share",
        "number",
        "behavioral",
        "All three discounts / (revenue + loyalty-card + coupon-match discount): what was saved "
        "of the shelf price.",
    ),
    Trait("discount_amount", "money", "behavioral", "All three discounts ever."),
    Trait("coupon_order_share", "number", "behavioral", "Share of baskets with a coupon."),
    Trait("coupons_redeemed", "number", "behavioral", "Campaign coupons redeemed."),
    Trait("last_redeemed_on", "date", "behavioral", "Day of the latest campaign coupon."),
    Trait("campaigns", "list", "behavioral", "Types of the campaigns received: Type A, B, C."),
    Trait("campaigns_received", "number", "behavioral", "Campaigns received."),
    Trait("campaigns_redeemed", "number", "behavioral", "Campaigns with a redeemed coupon."),
    Trait("last_campaign_type", "string", "behavioral", "Type of the campaign started latest."),
    Trait("last_campaign_starts_on", "date", "behavioral", "First day of that campaign."),
    Trait("last_campaign_ends_on", "date", "behavioral", "Last day of that campaign."),
    Trait("weekend_share", "number", "behavioral", "Share of baskets on Saturday or Sunday."),
    Trait("morning_share", "number", "behavioral", "Share of baskets from 5:00 to before 12:00."),
    Trait("evening_share", "number", "behavioral", "Share of baskets from 18:00 to before 23:00."),
    Trait("revenue", "money", "value", "Spend ever."),
    Trait("average_order_value", "money", "value", "Revenue / orders."),
    Trait("largest_order", "money", "value", "The highest basket total."),
    Trait("revenue_90d", "money", "value", "Spend of the last 90 days."),
    Trait("revenue_previous_90d", "money", "value", "Spend of the 90 days before those."),
    Trait(
        "revenue_growth_90d",
        "number",
        "value",
        "revenue_90d / revenue_previous_90d; absent when the latter is 0.",
    ),
    Trait("revenue_365d", "money", "value", "Spend of the last 365 days."),
    Trait(
        "revenue_percentile",
        "number",
        "value",
        "Percent rank of revenue: k / n, k of all n households spent less.",
    ),
    Trait("revenue_365d_percentile", "number", "value", "Percent rank of revenue_365d: k / n."),
    Trait(
        "r_score",
        "number",
        "value",
        "Recency score 1-5: 1 + floor(5k/n), k of n households came last on an earlier UTC day.",
    ),
    Trait(
        "f_score",
        "number",
        "value",
        "Frequency score 1-5: 1 + floor(5k/n), k of n households have fewer orders.",
    ),
    Trait(
        "m_score",
        "number",
        "value",
        "Monetary score 1-5: 1 + floor(5k/n), k of n households spent less.",
    ),
    Trait("favourite_store", "string", "geographic", "Store with most baskets: store-367."),
    Trait(
        "favourite_store_share", "number", "geographic", "The favourite store's share of baskets."
    ),
    Trait("stores", "list", "geographic", "Stores ever visited."),
    Trait("stores_visited", "number", "geographic", "How many stores were ever visited."),
    Trait(
        "organic_orders_365d",
        "number",
        "psychographic",
        "Baskets of the last 365 days with an organic product.",
    ),
    Trait("organic_share", "number", "psychographic", "Share of the spend on organic products."),
    Trait(
        "wellness_share",
        "number",
        "psychographic",
        "Share of the spend on natural foods, vitamins and dietary products.",
    ),
    Trait(
        "gourmet_share",
        "number",
        "psychographic",
        "Share of the spend on fish, specialty cheese, imported and ultra-premium wine.",
    ),
    Trait(
        "fresh_share",
        "number",
        "psychographic",
        "Share of the spend on produce, meat, fish and the salad bar.",
    ),
    Trait(
        "technology",
        "list",
        "technographic",
        "Technologies shown by products of the last 365 days: prepaid-mobile, film-photo, "
        "home-video.",
    ),
    Trait(
        "needs",
        "list",
        "needs",
        "Needs with at least 2 baskets in the last 365 days: baby, car, cat, celebration, dog, "
        "quick-meal.",
    ),
    Trait("baby_orders_365d", "number", "needs", "Baskets of the last 365 days with baby care."),
    Trait("last_baby_order_at", "instant", "needs", "The latest basket with baby care."),
    Trait(
        "last_pet_order_at",
        "instant",
        "needs",
        "The latest basket with something for a dog or cat.",
    ),
    Trait(
        "replenish_category",
        "string",
        "needs",
        "The household consumable bought on most days (3 or more).",
    ),
    Trait(
        "replenish_gap_days",
        "number",
        "needs",
        "Median days between those purchases' calendar days.",
    ),
    Trait("replenish_from", "instant", "needs", "Latest purchase + 0.9 gaps: soon used up."),
    Trait("replenish_until", "instant", "needs", "Latest purchase + 2 gaps: bought elsewhere."),
)
