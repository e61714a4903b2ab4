-- What left although the review of it failed, was cut short or came after it.
SELECT
    day,
    policy,
    enforcement,
    count(*) AS released,
    count(*) FILTER (NOT reviewed) AS unreviewed,
    count(*) FILTER (NOT reviewed) / count(*) AS rate
FROM entries
WHERE type = 'decision' AND outcome = 'released'
GROUP BY day, policy, enforcement
HAVING count(*) FILTER (NOT reviewed) > 0
ORDER BY day, policy, enforcement;
