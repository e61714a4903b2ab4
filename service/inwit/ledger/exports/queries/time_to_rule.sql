-- Seconds from the decision to hold until people have ruled.
SELECT
    policy,
    count(*) AS ruled,
    median(epoch(closed - opened)) AS median_s,
    quantile_cont(epoch(closed - opened), 0.95) AS p95_s
FROM cases
WHERE ending = 'ruled'
GROUP BY policy
ORDER BY policy;
