"""All dashboards, in the order in which they are read."""

from scripts.dashboards.conscience import CONSCIENCE
from scripts.dashboards.escalations import ESCALATIONS
from scripts.dashboards.model_server import MODEL
from scripts.dashboards.overview import OVERVIEW
from scripts.dashboards.stores import STORES

BOARDS = (OVERVIEW, CONSCIENCE, ESCALATIONS, STORES, MODEL)
