"""`/erasures`: who was erased, told by proofs that name nobody."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor
from service.api.customer_schemas import Erased, PersonNamed, Proof, Verified
from service.api.problems import not_found, unavailable
from service.api.services import Services, WithServices
from service.core.access import Author
from service.flows.erasing import Held
from service.store.erasures import Erasure, with_fingerprint

router = APIRouter(prefix="/erasures", tags=["customers"], route_class=BodyRoute)

Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="32 bytes in hex.")]


def proof(erasure: Erasure) -> Proof:
    """The proof as it is given out."""
    return Proof(
        fingerprint=erasure.fingerprint.hex(),
        erased_at=erasure.erased_at,
        dropped=erasure.dropped,
    )


async def erased(
    services: Services, customer_id: str, author: Author, *, whoever: bool = False
) -> Proof:
    """Erase a person. Raises NobodyErased, HttpProblem 503."""
    try:
        return proof(await services.eraser.erase(customer_id, author, whoever=whoever))
    except Held as error:
        raise unavailable(str(error)) from error


@router.post("", status_code=201)
async def erase_person(
    services: WithServices, person: PersonNamed, author: WithAuthor, response: Response
) -> Erased:
    """Erase a person, whether or not anything is stored of them: data dated up to now that comes
    later is dropped. The id stays out of the path, and so out of the logs of proxies."""
    proven = await erased(services, person.customer_id, author, whoever=True)
    response.headers["location"] = f"/erasures/{proven.fingerprint}"
    return Erased(erasure=proven)


@router.post("/verify")
async def verify_erasure(services: WithServices, person: PersonNamed) -> Verified:
    """Whether a person was erased, and when for the last time."""
    erasure = await services.eraser.verify(person.customer_id)
    return Verified(erased=erasure is not None, erasure=None if erasure is None else proof(erasure))


@router.get("/{fingerprint}")
async def get_erasure(services: WithServices, fingerprint: Fingerprint) -> Erased:
    """The erasure that a proof tells of."""
    async with services.database.engine.connect() as connection:
        erasure = await with_fingerprint(connection, bytes.fromhex(fingerprint))
    if erasure is None:
        raise not_found("no erasure has this fingerprint")
    return Erased(erasure=proof(erasure))
