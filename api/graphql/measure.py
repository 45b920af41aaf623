"""How large a query is, before anything of it is validated or run.

Guarantees: measuring takes time in proportion to the document alone, however its fragments are
nested: each is measured once. What it counts, it counts as if all fragments were written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

INTERVALS: Final = "intervals"  # of the range that a field's arguments name
# Lists whose length the field above says, by its argument.
SIZED_ABOVE: Final = {
    "bids": "depth",
    "asks": "depth",
    "edges": "first",
    "steps": "first",
    "gainers": "movers",
    "losers": "movers",
    "mostActive": "movers",
    "vwap": INTERVALS,
    "twap": INTERVALS,
    "candles": INTERVALS,
    "quotedSpread": INTERVALS,
    "effectiveSpread": INTERVALS,
    "realisedSpread": INTERVALS,
    "depth": INTERVALS,
    "orderToTrade": INTERVALS,
    "fillRate": INTERVALS,
    "activity": INTERVALS,
}
# What each field of a type costs besides its values.
WEIGHTS: Final = {"Analytics": 400}
OWN_SIZES: Final = ("first", "points")
LENGTH_SUPPOSED: Final = 10
DIGITS_MAX: Final = 18
INTROSPECTION: Final = "__"


@dataclass(frozen=True)
class Measures:
    """`depth` in levels of braces; `aliases` with the fields that are named again beside
    themselves, which cost validation as much; `cost` in values of the answer, about."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    cost: int = 0

    def and_beside(self, other: Measures) -> Measures:
        """Both in one selection."""
        return Measures(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.fields + other.fields,
            self.cost + other.cost,
        )


Sizes = tuple[tuple[str, int], ...]


@dataclass
class Measurer:
    """Measures one operation. `lengths` says how long lists are that no argument bounds;
    `intervals` how many there are in the range that the arguments of some root fields name."""

    schema: GraphQLSchema
    document: DocumentNode
    variables: Mapping[str, Any]
    lengths: Mapping[str, int]
    intervals: Mapping[str, Callable[[Mapping[str, Any]], int]]
    _given: dict[str, Any] = field(default_factory=dict)
    _fragments: dict[str, FragmentDefinitionNode] = field(default_factory=dict)
    _known: dict[tuple[str, Sizes], Measures] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def measure(self, operation: OperationDefinitionNode) -> Measures:
        """The whole operation."""
        self._fragments = {
            each.name.value: each
            for each in self.document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        defaults = {
            each.variable.name.value: self._default(each.default_value)
            for each in operation.variable_definitions or ()
        }
        self._given = {**defaults, **self.variables}
        root = self.schema.get_root_type(operation.operation)
        return self._selections(operation.selection_set, root, ())

    def _selections(self, node: SelectionSetNode, parent: Any, above: Sizes) -> Measures:
        named = [each.name.value for each in node.selections if isinstance(each, FieldNode)]
        total = Measures(aliases=len(named) - len(set(named)))
        for each in node.selections:
            if isinstance(each, FieldNode):
                total = total.and_beside(self._field(each, parent, above))
            elif isinstance(each, InlineFragmentNode):
                inner = self._type(each.type_condition, parent)
                total = total.and_beside(self._selections(each.selection_set, inner, above))
            elif isinstance(each, FragmentSpreadNode):
                total = total.and_beside(self._spread(each.name.value, above))
        return total

    def _spread(self, name: str, above: Sizes) -> Measures:
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:
            return Measures()  # validation says so
        key = (name, above)
        known = self._known.get(key)
        if known is None:
            self._open.add(name)
            inner = self._type(fragment.type_condition, None)
            known = self._known[key] = self._selections(fragment.selection_set, inner, above)
            self._open.discard(name)
        return known

    def _type(self, condition: Any, otherwise: Any) -> Any:
        return otherwise if condition is None else self.schema.get_type(condition.name.value)

    def _field(self, node: FieldNode, parent: Any, above: Sizes) -> Measures:
        name = node.name.value
        found: GraphQLField | None = None
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            found = parent.fields.get(name)
        own = self._sizes(node, found)
        weight = 0 if found is None else WEIGHTS.get(parent.name, 0)
        inner = Measures()
        if node.selection_set is not None:
            kind = None if found is None else get_named_type(found.type)
            inner = self._selections(node.selection_set, kind, own)
            if name.startswith(INTROSPECTION):
                inner = Measures(0, inner.aliases, inner.fields, 0)
        times = self._length(name, found, own, above)
        depth = inner.depth + (1 if node.selection_set is not None else 0)
        return Measures(
            0 if name.startswith(INTROSPECTION) else depth,
            inner.aliases + (1 if node.alias is not None else 0),
            inner.fields + 1,
            times * (1 + inner.cost) + weight,
        )

    def _length(self, name: str, found: GraphQLField | None, own: Sizes, above: Sizes) -> int:
        if found is None or not is_list_type(get_nullable_type(found.type)):
            return 1
        given, sizes = dict(own), dict(above)
        for argument in OWN_SIZES:
            if argument in given:
                return given[argument]
        if SIZED_ABOVE.get(name, "") in sizes:
            return sizes[SIZED_ABOVE[name]]
        if "symbols" in given or "symbols" in sizes:
            return given.get("symbols", sizes.get("symbols", 1))
        return self.lengths.get(name, LENGTH_SUPPOSED)

    def _sizes(self, node: FieldNode, found: GraphQLField | None) -> Sizes:
        """What a field's arguments say of lengths, as numbers."""
        sizes: dict[str, int] = {}
        for name, argument in ({} if found is None else found.args).items():
            if isinstance(argument.default_value, int):
                sizes[name] = argument.default_value
        for given in node.arguments or ():
            size = self._number(given.value)
            if size is not None:
                sizes[given.name.value] = size
        intervals = self.intervals.get(node.name.value)
        if intervals is not None:
            sizes[INTERVALS] = intervals(
                {each.name.value: self._value(each.value) for each in node.arguments or ()}
            )
        return tuple(sizes.items())

    def _default(self, value: Any) -> Any:
        """A variable's default, as far as it bounds anything."""
        if isinstance(value, ListValueNode):
            return list(value.values)
        return self._number(value) if isinstance(value, IntValueNode) else self._value(value)

    def _value(self, value: Any) -> Any:
        """A text or a name; None for what is neither."""
        if isinstance(value, StringValueNode | EnumValueNode):
            return value.value
        return self._given.get(value.name.value) if isinstance(value, VariableNode) else None

    def _number(self, value: Any) -> int | None:
        if isinstance(value, IntValueNode):
            # Of more digits than any Int has, so many that Python would not read them.
            return max(0, int(value.value[:DIGITS_MAX]))
        if isinstance(value, ListValueNode):
            return len(value.values)
        if isinstance(value, VariableNode):
            given = self._given.get(value.name.value)
            if isinstance(given, list):
                return len(given)
            return max(0, given) if isinstance(given, int) else None
        return None
