-- Places for new devices that the centers have taken in a minute.
CREATE TABLE new_devices (
    pk              TEXT COLLATE "C" PRIMARY KEY REFERENCES products (pk),
    -- Minutes since 1970.
    minute          BIGINT NOT NULL,
    taken           BIGINT NOT NULL
);
