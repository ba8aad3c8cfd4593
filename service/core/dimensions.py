"""What well-known traits are about where nobody has said, by names that tracking and commerce use.
What is below one is about the same."""

from collections.abc import Mapping

from service.core.traits import Dimension

_NAMES: Mapping[Dimension, str] = {
    Dimension.DEMOGRAPHIC: "age age_band birthday birthdate date_of_birth gender first_name "
    "last_name name title marital_status household_size household_income income children "
    "education occupation homeowner email phone",
    Dimension.GEOGRAPHIC: "address country country_code city region state postal_code zip street "
    "location home place timezone time_zone nearest_store store_distance shipping_country",
    Dimension.PSYCHOGRAPHIC: "interests values lifestyle favourite_category favorite_category "
    "survey opinions personality hobbies",
    Dimension.TECHNOGRAPHIC: "device device_type os os_name os_version browser browser_name "
    "app app_version user_agent locale language screen platform",
    Dimension.BEHAVIORAL: "orders last_order_at first_order_at sessions visits last_visit_at "
    "newsletter coupons email_opens email_clicks discount_share consent suppressed reachable",
    Dimension.NEEDS: "nps csat tickets open_tickets support_tickets wishlist preferred_channel "
    "preferences replenish_at",
    Dimension.VALUE: "revenue average_order_value lifetime_value ltv clv total_spent spent refunds "
    "margin credit_limit loyalty loyalty_points plan_value",
    Dimension.FIRMOGRAPHIC: "company industry employees employee_count seniority job_title "
    "department group_id plan renewal_at website company_size vat_id",
}

WELL_KNOWN: Mapping[str, Dimension] = {
    name: dimension for dimension, names in _NAMES.items() for name in names.split()
}
