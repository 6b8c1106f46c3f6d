-- Expand: a column that the release before does not know, and does not miss.
-- With a constant default PostgreSQL adds it without writing a row.
ALTER TABLE orders ADD COLUMN delivery text NOT NULL DEFAULT 'post';
