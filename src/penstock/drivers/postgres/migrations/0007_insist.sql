-- needs: 1
-- What several steps do is one statement (drivers/postgres/parts.py); it is undone as a whole where a part of it cannot be
-- done as it stands.

CREATE OR REPLACE FUNCTION penstock.insist(well boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF well IS NOT TRUE THEN
        RAISE EXCEPTION 'penstock: to be done step by step' USING ERRCODE = 'PN001';
    END IF;
    RETURN true;
END $$;
