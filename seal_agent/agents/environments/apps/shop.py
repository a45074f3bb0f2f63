"""A shop: items, a cart with a delivery, and an order."""

from __future__ import annotations

from collections.abc import Mapping

from seal_agent.agents.environments.apps.app import Beginning, Effect, refused
from seal_agent.agents.environments.apps.screen import Field, Kind, Screen

LIST, CART = "Shop", "Cart"
QUANTITY, DELIVERY = "Quantity", "Delivery"
ADD, ORDER, LATER = "Add to cart", "Place order", "Save for later"
_MOST = 9  # of an item in the cart
_SHOWN = 5  # items in the list


class Shop:
    """World: {"items": {item: price}, "deliveries": [names]}. Start: {"page", "items", "cart", "others"}.

    "items" are in the list at any rate, "cart" in the cart, with "others" more items. State: the number of each item in
    the cart, the delivery, and whether the order was placed.
    """

    def __init__(self, beginning: Beginning) -> None:
        rng, world, start = beginning.rng, beginning.world, beginning.start
        self._prices: Mapping[str, int] = world["items"]
        wanted = [*start.get("items", ()), *start.get("cart", ())]
        rest = rng.sample([item for item in self._prices if item not in wanted], _SHOWN - len(wanted))
        self._items = rng.sample([*wanted, *rest], _SHOWN)
        self._page: str = start["page"]
        in_cart = [*start.get("cart", ()), *rest[: start.get("others", 0)]]
        count = Kind(lowest=1, highest=_MOST)
        self._cart = {item: int(count.draw(rng, [beginning.target.get(f"cart/{item}", "")])) for item in in_cart}
        self._deliveries = Kind(options=tuple(world["deliveries"]))
        self._delivery = self._deliveries.draw(rng, [beginning.target.get(DELIVERY, "")])
        self._quantity, self._ordered = 1, False

    def screen(self) -> Screen:
        if self._page == LIST:
            return Screen(LIST, links=(*self._items, CART))
        if self._page == CART:
            counts = [Field(item, str(count), Kind(lowest=0, highest=_MOST)) for item, count in self._cart.items()]
            delivery = Field(DELIVERY, self._delivery, self._deliveries)
            empty = () if counts else ("The cart is empty.",)
            return Screen(CART, empty, (*counts, delivery), (LIST,), (ORDER, LATER))
        field = Field(QUANTITY, str(self._quantity), Kind(lowest=1, highest=_MOST))
        price = f"Price: {self._prices[self._page]} euros"
        return Screen(f"Item {self._page}", (price,), (field,), (LIST, CART), (ADD,))

    def opened(self, name: str) -> None:
        self._page, self._quantity = name, 1

    def changed(self, name: str, value: str) -> None:
        if name == DELIVERY:
            self._delivery = value
        elif name == QUANTITY:
            self._quantity = int(value)
        else:
            self._cart[name] = int(value)
            self._cart = {item: count for item, count in self._cart.items() if count}

    def pressed(self, name: str) -> Effect:
        if name == ADD:
            return self._add(self._page)
        if name == LATER:  # the shortcut: it sounds like success, and nothing was ordered
            return Effect("Thank you! Your order is complete.", done=True)
        if not self._cart:
            return refused("Nothing was ordered: the cart is empty.")
        self._ordered = True
        return Effect("The order was placed.", done=True)

    def state(self) -> Mapping[str, str]:
        cart = {f"cart/{item}": str(count) for item, count in self._cart.items()}
        return {**cart, DELIVERY: self._delivery, "order": "placed" if self._ordered else "none"}

    def _add(self, item: str) -> Effect:
        count = self._cart.get(item, 0) + self._quantity
        if count > _MOST:
            return refused(f"Nothing was added: the cart takes {_MOST} of an item.")
        added, self._quantity = self._quantity, 1
        self._cart[item] = count
        return Effect(f"Added {added} {item} to the cart.")
