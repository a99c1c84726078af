/* The settings of a sale as JSON, for its seller and for operators. */
#ifndef STEER_SETTINGS_JSON_H
#define STEER_SETTINGS_JSON_H

#include "base/buf.h"
#include "catalog/settings.h"

/* Writes members into an object. `state` is shown in place of the stored one, because a sale ends by time, too. */
void settings_put(struct buf *body, const struct sale_settings *s, enum sale_state state);

/* The members of the public page of an archived sale, as coupon_put writes them for a sale that is in Redis. */
void archived_put(struct buf *body, const struct sale_settings *s);

#endif
