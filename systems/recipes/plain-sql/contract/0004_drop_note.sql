-- tidegate: contract no release since 1.4 reads it
-- For a release of its own, once none that runs or that you may go back to reads the column.
ALTER TABLE orders DROP COLUMN note;
