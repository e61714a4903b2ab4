-- What left although the review of it failed, was cut short or came after it; of checks, the
-- candidates that might leave so. Under `audit_only` a stream leaves before its review: also what
-- was taken back then, and what was cut.
WITH gone AS (
    SELECT
        day,
        policy,
        enforcement,
        CASE type WHEN 'check' THEN 'check' ELSE 'response' END AS asked,
        outcome,
        type = 'cut' AS cut,
        -- Parts of earlier versions do not tell what was sent.
        NOT reviewed OR (
            type <> 'check' AND enforcement = 'audit_only' AND coalesce(sent_length > 0, true)
        ) AS unreviewed
    FROM entries
    WHERE (type = 'decision' AND outcome = 'released')
        OR (type = 'check' AND action IN ('allow', 'redact'))
        OR (type IN ('decision', 'cut') AND enforcement = 'audit_only' AND sent_length > 0)
)
SELECT
    day,
    policy,
    enforcement,
    asked,
    count(*) FILTER (outcome IN ('released', 'checked')) AS released,
    count(*) FILTER (outcome IN ('blocked', 'held')) AS withheld_too_late,
    count(*) FILTER (cut) AS cut,
    count(*) FILTER (unreviewed) AS unreviewed,
    count(*) FILTER (unreviewed) / count(*) AS rate
FROM gone
GROUP BY day, policy, enforcement, asked
HAVING count(*) FILTER (unreviewed) > 0
ORDER BY day, policy, enforcement, asked;
