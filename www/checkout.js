// Shows the order that the address names: as text, and only if it is the number of an order.
"use strict";
const order = new URLSearchParams(location.search).get("order") || "";
if (/^[0-9]{1,19}-[0-9]{1,3}-[0-9]{1,19}$/.test(order))
	for (const place of document.querySelectorAll(".order"))
		place.textContent = order;
document.getElementById("origin").textContent = location.origin;
