-- needs: 8
-- Heads of usual messages are kept in short (core/head.py), which versions before this one cannot read: they refuse to
-- start. Nothing changes in the tables; what was written before is read as it is.
SELECT 1;
