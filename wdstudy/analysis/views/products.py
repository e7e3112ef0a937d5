"""Lines of equal lr · weight_decay over the plane."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

PRODUCTS = 7


def equal_products(cells: pd.DataFrame) -> tuple[float, ...]:
    """Decades of lr · weight_decay that the cells span; every second or third if they are many."""
    positive = cells[cells["weight_decay"] > 0]
    if positive["lr"].nunique() < 2 or positive["weight_decay"].nunique() < 2:
        return ()
    product = np.log10((positive["lr"] * positive["weight_decay"]).to_numpy(dtype=float))
    decades = np.arange(math.ceil(product.min() + 0.2), math.floor(product.max() - 0.2) + 1)
    stride = max(1, math.ceil(len(decades) / PRODUCTS))
    return tuple(float(f"1e{int(d)}") for d in decades[::stride])


def product_lines(
    products: tuple[float, ...], values: pd.DataFrame
) -> Iterator[tuple[float, Any, Any]]:
    """Lines of equal lr · weight_decay, straight between the logarithms of neighbouring cells.

    Args:
        products: The values of lr · weight_decay.
        values: A table of cells: rows weight_decay, from high to low, columns lr.

    Yields:
        A product, and the places of its line in columns from the left and rows from the top.
    """
    x = np.log10(values.columns.to_numpy(dtype=float))
    rows = values.index.to_numpy(dtype=float)
    y = np.log10(rows[rows > 0])[::-1]
    for product in products:
        places = np.arange(len(x)) + 0.5
        fine = np.linspace(places[0], places[-1], 8 * len(x) + 1)
        across = math.log10(product) - np.interp(fine, places, x)
        inside = (across >= y[0] - 1e-9) & (across <= y[-1] + 1e-9)
        if inside.sum() < 2:
            continue
        down = len(y) - 0.5 - np.interp(across[inside], y, np.arange(len(y)))
        yield product, fine[inside], down
