/* How far an order is. */
#ifndef ORDER_ORDER_STATUS_H
#define ORDER_ORDER_STATUS_H

/* The numbers from ORDER_PENDING to ORDER_CONFIRMED are those of the column `status`. */
enum order_status {
	ORDER_QUEUED,
	ORDER_PENDING,
	ORDER_PAID,
	ORDER_CANCELLED,
	ORDER_EXPIRED,
	ORDER_CONFIRMED,
	ORDER_FAILED, /* MySQL refused the order */
	ORDER_LOST    /* the servers that had the order lost it */
};

#endif
