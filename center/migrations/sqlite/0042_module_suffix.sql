-- A module's version is told with the suffix of its application (0x0044) and without (0x0114, 0x0115).

-- Without, as told last.
ALTER TABLE devices ADD COLUMN firmware_version TEXT;
-- The suffix; NULL: not known, empty: there is none. After another firmware was told it is the one of before.
ALTER TABLE devices ADD COLUMN module_suffix TEXT;
