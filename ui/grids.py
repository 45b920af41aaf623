"""AG Grid as the dashboard uses it: one dense theme made of the page's own CSS tokens, rows kept by
id, columns whose formatters are named functions of assets/40_grids.js."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import html

THEME = """themeQuartz.withParams({
  backgroundColor: 'var(--cb-panel)', foregroundColor: 'var(--cb-text)',
  accentColor: 'var(--cb-accent)', borderColor: 'var(--cb-line)',
  headerBackgroundColor: 'var(--cb-panel)', headerTextColor: 'var(--cb-dim)',
  oddRowBackgroundColor: 'var(--cb-panel)', rowHoverColor: 'var(--cb-hover)',
  selectedRowBackgroundColor: 'var(--cb-hover)', fontFamily: 'var(--cb-font)',
  fontSize: 12, headerFontSize: 11, headerFontWeight: 500, spacing: 4,
  cellHorizontalPadding: 8, rowHeight: 24, headerHeight: 26,
  wrapperBorder: false, wrapperBorderRadius: 0, columnBorder: false,
  headerColumnResizeHandleColor: 'transparent', rowBorder: {color: 'var(--cb-line-soft)'}
})"""


def column(field: str, title: str, **terms: Any) -> dict[str, Any]:
    """A column of words."""
    return {"field": field, "headerName": title, **terms}


def number(field: str, title: str, formatter: str = "cbQuantity", **terms: Any) -> dict[str, Any]:
    """A column of numbers, right-aligned, formatted by a function of assets/40_grids.js."""
    own = str(terms.pop("cellClass", ""))
    return column(
        field,
        title,
        type="rightAligned",
        cellClass=f"ag-right-aligned-cell {own}".strip(),
        valueFormatter={"function": f"{formatter}(params)"},
        **terms,
    )


def trend(field: str, title: str, formatter: str, **terms: Any) -> dict[str, Any]:
    """A column of changes, coloured by sign. (Not by `cellClassRules`: a cell has its classes some
    time before its text.)"""
    return number(field, title, formatter, cellRenderer="CbTrend", **terms)


def _shared(terms: dict[str, Any]) -> dict[str, Any]:
    """A column whose `width` is its share of the grid's, down to `minWidth` or a part of itself. (A
    grid that is not shown yet has no width to fit columns to, so AG Grid's own call does not.)"""
    width = terms.get("width")
    return terms if width is None else {"flex": width, "minWidth": int(width * 0.75), **terms}


def grid(
    grid_id: str,
    columns: Sequence[dict[str, Any]],
    *,
    row_key: str,
    label: str,
    empty: str,
    rows: Sequence[dict[str, Any]] = (),
    options: dict[str, Any] | None = None,
) -> html.Div:
    """A grid that fills its panel. `row_key` is the field by which a row stays the same row,
    `label` its accessible name; `empty` is said where there are no rows."""
    table = dag.AgGrid(
        id=grid_id,
        columnDefs=[_shared(each) for each in columns],
        rowData=list(rows),
        getRowId=f"params.data.{row_key}",
        className="cb-grid",
        style={"height": "100%", "width": "100%"},
        defaultColDef={
            "sortable": True,
            "resizable": True,
            "suppressMovable": True,
            "suppressHeaderMenuButton": True,
            "minWidth": 48,
        },
        dashGridOptions={
            "theme": {"function": THEME},
            "animateRows": False,
            "suppressCellFocus": False,
            "suppressColumnVirtualisation": True,
            "localeText": {"noRowsToShow": empty},
            **(options or {}),
        },
    )
    return html.Div(table, className="cb-grid-frame", **{"data-label": label})
