-- What the sample keeps. `tidegate-database.yaml` has it run before the services that need it.
CREATE TABLE visits (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  visited_at timestamptz NOT NULL DEFAULT now()
);
