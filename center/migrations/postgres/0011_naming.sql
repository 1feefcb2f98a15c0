-- Locked by a center that gives contents of packages their names, or takes contents away that no package has.
CREATE TABLE package_files_naming (
    held        BIGINT
);
