"""The OpenAPI document shows every field with a description and an example."""

from typing import Any

from tests.conftest import MakeCaller


async def test_every_field_has_a_description_and_an_example(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    document = (await caller.http.get("/openapi.json")).json()

    schemas: dict[str, Any] = document["components"]["schemas"]
    assert {"RespondRequest", "RespondResponse", "Problem", "MessageIn"} <= schemas.keys()
    for name, schema in schemas.items():
        for field, details in schema.get("properties", {}).items():
            assert details.get("description"), f"{name}.{field} has no description"
            assert details.get("examples"), f"{name}.{field} has no example"


async def test_the_route_names_its_body_and_its_errors(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    route = (await caller.http.get("/openapi.json")).json()["paths"]["/v1/respond"]["post"]

    body = route["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/RespondRequest"}
    assert route["security"] == [{"api_key": []}]
    assert {"200", "401", "403", "413", "422", "503"} <= route["responses"].keys()


async def test_the_example_works_as_it_stands(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    document = (await caller.http.get("/openapi.json")).json()

    (example,) = document["components"]["schemas"]["RespondRequest"]["examples"]

    assert (await caller.respond(example)).status_code == 200


async def test_the_page_needs_nothing_from_elsewhere(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    page = (await caller.http.get("/docs")).text

    assert "https://" not in page
    assert (await caller.http.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200
