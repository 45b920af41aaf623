"""What stands before every operation, over HTTP and WebSocket alike: its limits, its own loaders,
and how its errors are told.

Guarantees: an operation beyond a limit is refused before it is validated or run, in time bounded by
the document's length, with the limit's own code; each operation has a context of its own; each
error has a code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, parse
from graphql.utilities import get_operation_ast
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

from api.graphql.analytics import intervals_in
from api.graphql.errors import refused, shown
from api.graphql.measure import Measurer, Measures
from api.graphql.settings import GraphQLLimits

DOCUMENTS_KEPT: Final = 256
DOCUMENT_KEPT_CHARACTERS_MAX: Final = 8_192
DEEP: Final = "Syntax Error: Document is nested too deeply"
MANY_TOKENS: Final = "Syntax Error: Document contains more t"
NOTHING: Final = parse("{ __typename }")  # stands for a document that is refused unread


class Documents:
    """Documents by their text, with the errors that validation found: parsing and validating cost
    more than most answers. Bounded; the oldest goes."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, tuple[DocumentNode, list[Any]]] = OrderedDict()

    def get(self, text: str) -> tuple[DocumentNode, list[Any]] | None:
        """The document, and a list that holds its validation errors once they are known."""
        found = self._documents.get(text)
        if found is not None:
            self._documents.move_to_end(text)
        return found

    def put(self, text: str, document: DocumentNode) -> tuple[DocumentNode, list[Any]]:
        """Keep a document, where it is short enough."""
        found: tuple[DocumentNode, list[Any]] = (document, [])
        if len(text) <= DOCUMENT_KEPT_CHARACTERS_MAX:
            self._documents[text] = found
            if len(self._documents) > DOCUMENTS_KEPT:
                self._documents.popitem(last=False)
        return found


class Guard(SchemaExtension):
    """One operation's."""

    def __init__(self, limits: GraphQLLimits, kept: Documents) -> None:
        self._limits = limits
        self._kept = kept
        self._known: list[Any] = []
        self._refusal: GraphQLError | None = None
        self.execution_context: ExecutionContext

    def on_operation(self) -> Iterator[None]:
        """A context of its own."""
        execution = self.execution_context
        if execution.context is not None:
            execution.context = execution.context.for_operation()
        yield

    def on_parse(self) -> Iterator[None]:
        """Parse within limits. What is refused is told when it would be validated, where both
        transports expect it; a syntax error is left to the library."""
        execution = self.execution_context
        text = execution.query or ""
        if text:
            found = self._kept.get(text)
            if found is None:
                document = self._parsed(text)
                found = None if document is None else self._kept.put(text, document)
            if self._refusal is not None:
                execution.graphql_document = NOTHING
            elif found is not None:
                execution.graphql_document, self._known = found
        yield

    def _parsed(self, text: str) -> DocumentNode | None:
        limits = self._limits
        if len(text) > limits.characters_max:
            detail = f"a document has at most {limits.characters_max:,} characters"
            self._refusal = refused("too_long", detail, status=400)
            return None
        try:
            return parse(text, max_tokens=limits.tokens_max)
        except RecursionError:
            self._refusal = self._too_deep()
        except GraphQLSyntaxError as error:
            if error.message.startswith(DEEP):
                self._refusal = self._too_deep()
            elif error.message.startswith(MANY_TOKENS):
                detail = f"a document has at most {limits.tokens_max:,} tokens: ask in several"
                self._refusal = refused("too_many_tokens", detail, status=400)
        return None

    def on_validate(self) -> Iterator[None]:
        """Refuse what is too large, and validate a document that was seen before only once."""
        execution = self.execution_context
        if self._refusal is None:
            self._refusal = self._beyond(execution)
        if self._refusal is not None:
            execution.pre_execution_errors = [self._refusal]
        elif self._known:
            execution.pre_execution_errors = self._known[0]
        else:
            yield
            self._known.append(execution.pre_execution_errors or [])
            return
        yield

    def _beyond(self, execution: ExecutionContext) -> GraphQLError | None:
        document = execution.graphql_document
        assert document is not None
        operation = get_operation_ast(document, execution.operation_name)
        if operation is None:
            return None
        context = execution.context
        measurer = Measurer(
            execution.schema._schema,
            document,
            execution.variables or {},
            {} if context is None else context.lengths(),
            {"analytics": intervals_in},
        )
        found = measurer.measure(operation)
        if context is not None:
            context.cost = found.cost
        return self._verdict(found)

    def _verdict(self, found: Measures) -> GraphQLError | None:
        limits = self._limits
        if found.depth > limits.depth_max:
            return self._too_deep()
        if found.aliases > limits.aliases_max:
            detail = (
                f"an operation has at most {limits.aliases_max} aliases, and fields that are named "
                "again beside themselves: ask in several"
            )
            return refused("too_many_aliases", detail, status=400)
        if found.fields > limits.fields_max:
            detail = f"an operation has at most {limits.fields_max} fields: ask in several"
            return refused("too_many_fields", detail, status=400)
        if found.cost > limits.cost_max:
            detail = (
                f"this may answer {found.cost:,} values, at most {limits.cost_max:,} are: ask for "
                "less at once, such as by `first` or `depth`"
            )
            return refused("too_costly", detail, status=400)
        return None

    def _too_deep(self) -> GraphQLError:
        detail = f"an operation is at most {self._limits.depth_max} levels deep: ask in several"
        return refused("too_deep", detail, status=400)

    def on_stream_result(self, result: Any) -> Iterator[None]:
        """Over a WebSocket: each result's errors as they are shown."""
        if getattr(result, "errors", None):
            request_id = self.execution_context.context.request_id
            result.errors = [shown(error, request_id) for error in result.errors]
        yield
