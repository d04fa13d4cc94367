"""Requests that the OpenAPI document allows, and ones that it does not, as schemathesis makes them; it judges.

Each case is asked as it was made, and once more with names of things that are there, where its path names things.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.api_fuzz.machine import TOKEN

from bodydouble.control.openapi import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case
    from tests.api_fuzz.machine import Machine

ALWAYS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
BASE = "http://daemon"


def _without_security(found: dict[str, Any]) -> dict[str, Any]:
    """Every request shows a token here; what happens without is tested elsewhere."""
    del found["components"]["securitySchemes"]
    for item in found["paths"].values():
        for operation in item.values():
            del operation["security"]
    return found


def asks_for_something(operation: Any) -> bool:
    """Whether an operation takes anything that could be wrong."""
    return "parameters" in operation.definition.raw or "requestBody" in operation.definition.raw


class Campaign:
    """Asks one machine.

    Args:
        machine: it.
        examples: of each operation and mode.
        number: the seed of what is drawn.

    Attributes:
        answered: how often each operation answered with each status.
    """

    def __init__(self, machine: Machine, examples: int, number: int = 1) -> None:
        self.machine = machine
        self.answered: Counter[tuple[str, int]] = Counter()
        self._examples = examples
        self._number = number
        self._schema = schemathesis.openapi.from_dict(_without_security(document(machine.operations)))

    def operations(self) -> Iterator[tuple[str, Any]]:
        """Every operation of the document, by its name."""
        for found in self._schema.get_all_operations():
            operation: Any = found.ok()
            yield operation.definition.raw["operationId"], operation

    def ask(self, name: str, operation: Any) -> None:
        """Ask for one operation.

        Raises:
            BaseException: an answer is wrong; schemathesis says which, and how.
        """
        for mode in MODES if asks_for_something(operation) else MODES[:1]:
            self.machine.prepare()
            self._ask(name, operation, mode)

    def _ask(self, name: str, operation: Any, mode: schemathesis.GenerationMode) -> None:
        negative = mode is schemathesis.GenerationMode.NEGATIVE
        checks = [*ALWAYS, negative_data_rejection] if negative else ALWAYS

        @seed(self._number)
        @settings(max_examples=self._examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def hold(case: Case[Any]) -> None:
            self._judge(name, case, checks)
            if case.path_parameters and not negative:
                case.path_parameters = {**case.path_parameters, **self._there(case.path_parameters)}
                self._judge(name, case, checks)

        try:
            hold()
        except Unsatisfiable:
            assert negative, "the document allows nothing"  # of a name in a path nothing is wrong

    def _there(self, asked: Any) -> dict[str, str]:
        return {name: value for name, value in self.machine.names().items() if name in asked}

    def _judge(self, name: str, case: Case[Any], checks: list[Any]) -> None:
        kwargs = case.as_transport_kwargs(base_url=BASE)
        prepared = requests.Request(**kwargs).prepare()
        headers = {key: str(value) for key, value in prepared.headers.items() if key.isascii() and value.isascii()}
        headers = {key: value for key, value in headers.items() if key.lower() != "authorization"}
        body: Any = prepared.body or b""
        content = body.encode() if isinstance(body, str) else body
        assert prepared.method is not None
        assert prepared.url is not None
        answer = self.machine.ask(
            prepared.method, prepared.url, {**headers, "authorization": f"Bearer {TOKEN}"}, content
        )
        self.answered[name, answer.status_code] += 1
        case.validate_response(answer, checks=checks)
