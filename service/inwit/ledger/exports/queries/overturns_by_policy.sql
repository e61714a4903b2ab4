-- What people made of what was held. Overturned: they released it just as it was written.
SELECT
    policy,
    count(*) AS ruled,
    count(*) FILTER (ruling_kind = 'approve') AS overturned,
    count(*) FILTER (ruling_kind IN ('approve_rewrite', 'edit')) AS changed,
    count(*) FILTER (ruling_kind = 'block') AS upheld,
    count(*) FILTER (ruling_kind = 'approve') / count(*) AS overturn_rate
FROM cases
WHERE ending = 'ruled'
GROUP BY policy
ORDER BY policy;
