-- Held responses on which nobody has ruled yet, the oldest first.
SELECT
    case_id,
    tenant,
    policy,
    severity,
    language,
    opened,
    epoch(now() - opened) AS age_s
FROM cases
WHERE closed IS NULL
ORDER BY opened, case_id;
