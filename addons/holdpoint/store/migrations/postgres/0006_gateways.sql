-- Which gateway sends, so that another one can tell a dispatch under way from one that was left behind.
ALTER TABLE spends ADD COLUMN gateway TEXT NOT NULL DEFAULT '';

-- Tells every gateway which row changed, and nothing of what it holds: whoever may connect may listen.
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    key TEXT;
BEGIN
    IF TG_TABLE_NAME = 'votes' THEN
        key := NEW.approval;
    ELSIF TG_TABLE_NAME = 'suspensions' THEN
        IF TG_OP = 'DELETE' THEN key := OLD.who; ELSE key := NEW.who; END IF;
    ELSE
        key := NEW.id;
    END IF;
    -- A payload is at most 8,000 bytes. What is cut off is found by those who look for themselves now and then.
    PERFORM pg_notify('holdpoint:' || TG_TABLE_SCHEMA, TG_ARGV[0] || ' ' || left(key, 1000));
    RETURN NULL;
END
$$;

CREATE TRIGGER approvals_tell AFTER INSERT OR UPDATE ON approvals
    FOR EACH ROW EXECUTE FUNCTION tell('approvals');
CREATE TRIGGER votes_tell AFTER INSERT ON votes
    FOR EACH ROW EXECUTE FUNCTION tell('approvals');
CREATE TRIGGER grants_tell AFTER INSERT OR UPDATE ON grants
    FOR EACH ROW EXECUTE FUNCTION tell('grants');
CREATE TRIGGER suspensions_tell AFTER INSERT OR UPDATE OR DELETE ON suspensions
    FOR EACH ROW EXECUTE FUNCTION tell('suspensions');
CREATE TRIGGER notices_tell AFTER INSERT OR UPDATE ON notices
    FOR EACH ROW EXECUTE FUNCTION tell('notices');
