-- Rulings of each reviewer, by pseudonym. Late ones do not count for a case.
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
FROM entries
WHERE type IN ('ruled', 'ruled_late', 'undone')
GROUP BY actor
ORDER BY rulings DESC, reviewer;
