-- Packages that bring a component to the same version.
CREATE INDEX packages_target ON packages (pk, component, target, id);
