-- What left although the review of it failed, was cut short or came after it. Under `audit_only`
-- a stream leaves before its review: also what was taken back then, and what was cut.
WITH gone AS (
    SELECT
        day,
        policy,
        enforcement,
        outcome,
        type = 'cut' AS cut,
        -- Parts of earlier versions do not tell what was sent.
        NOT reviewed OR (enforcement = 'audit_only' AND coalesce(sent_length > 0, true))
            AS unreviewed
    FROM entries
    WHERE (type = 'decision' AND outcome = 'released')
        OR (type IN ('decision', 'cut') AND enforcement = 'audit_only' AND sent_length > 0)
)
SELECT
    day,
    policy,
    enforcement,
    count(*) FILTER (outcome = 'released') AS released,
    count(*) FILTER (outcome IN ('blocked', 'held')) AS withheld_too_late,
    count(*) FILTER (cut) AS cut,
    count(*) FILTER (unreviewed) AS unreviewed,
    count(*) FILTER (unreviewed) / count(*) AS rate
FROM gone
GROUP BY day, policy, enforcement
HAVING count(*) FILTER (unreviewed) > 0
ORDER BY day, policy, enforcement;
