-- needs: 1
-- VACUUM leaves a few dead rows' numbers in their pages rather than look through the indexes for them, and then cannot
-- give the end of the table back, however empty it is (results/postgres/shrinking.py).

ALTER TABLE penstock.records SET (vacuum_index_cleanup = on);
ALTER TABLE penstock.payloads SET (vacuum_index_cleanup = on);
ALTER TABLE penstock.logs SET (vacuum_index_cleanup = on);
