-- The run of the center that carries the request out: if it is over, the request was cut off. NULL: of a version before.
ALTER TABLE kept_answers ADD COLUMN run TEXT;
