-- Rulings of each reviewer on real cases, by pseudonym, without those that they took back (`undone`).
-- Late ones do not count for a case.
WITH acts AS (
    SELECT * FROM entries WHERE type IN ('ruled', 'ruled_late', 'undone') AND NOT golden
),
standing AS (
    SELECT * FROM acts
    WHERE type != 'ruled' OR ruling NOT IN (
        SELECT ruling FROM acts WHERE type = 'undone' AND ruling IS NOT NULL
    )
)
SELECT
    actor AS reviewer,
    count(*) FILTER (type = 'ruled') AS rulings,
    count(*) FILTER (type = 'ruled' AND ruling_kind = 'approve') AS approved,
    count(*) FILTER (type = 'ruled' AND ruling_kind = 'approve_rewrite') AS approved_rewrite,
    count(*) FILTER (type = 'ruled' AND ruling_kind = 'edit') AS edited,
    count(*) FILTER (type = 'ruled' AND ruling_kind = 'block') AS blocked,
    count(*) FILTER (type = 'ruled' AND ruling_kind = 'escalate') AS escalated,
    count(*) FILTER (type = 'ruled_late') AS late,
    count(*) FILTER (type = 'undone') AS undone
FROM standing
GROUP BY actor
ORDER BY rulings DESC, reviewer;
