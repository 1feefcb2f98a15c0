-- Places for new devices that the centers have taken in a minute.
CREATE TABLE new_devices (
    pk              TEXT PRIMARY KEY REFERENCES products (pk),
    -- Minutes since 1970.
    minute          INTEGER NOT NULL,
    taken           INTEGER NOT NULL
);
