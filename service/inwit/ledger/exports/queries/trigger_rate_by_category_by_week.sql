-- How often each kind of harm is found, of all decisions of the week.
WITH weeks AS (
    SELECT date_trunc('week', day)::DATE AS week, count(*) AS decisions
    FROM decisions
    GROUP BY week
),
found AS (
    SELECT date_trunc('week', day)::DATE AS week, unnest(categories) AS category
    FROM decisions
)
SELECT week, category, count(*) AS triggered, decisions, count(*) / decisions AS rate
FROM found JOIN weeks USING (week)
GROUP BY week, category, decisions
ORDER BY week, category;
