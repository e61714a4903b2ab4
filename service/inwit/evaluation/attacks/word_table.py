"""Very common English words with one German, one Spanish and one French word for each.

Made by hand for Inwit. One sense of each word, one form: good enough to mix languages, and for
nothing else. Negations are kept as negations.
"""

_TABLE = """
the|der|el|le
a|ein|un|un
an|ein|un|un
and|und|y|et
or|oder|o|ou
but|aber|pero|mais
if|wenn|si|si
because|weil|porque|parce que
so|also|así|donc
then|dann|entonces|alors
than|als|que|que
that|dass|que|que
this|dies|esto|ceci
these|diese|estos|ces
those|jene|esos|ceux
of|von|de|de
in|in|en|dans
on|auf|sobre|sur
at|bei|en|à
to|zu|a|à
for|für|para|pour
from|von|desde|de
with|mit|con|avec
without|ohne|sin|sans
by|durch|por|par
about|über|sobre|sur
into|in|en|dans
over|über|sobre|sur
under|unter|bajo|sous
after|nach|después|après
before|vor|antes|avant
between|zwischen|entre|entre
through|durch|por|par
as|als|como|comme
like|wie|como|comme
up|auf|arriba|en haut
out|aus|fuera|dehors
not|nicht|no|pas
no|nein|no|non
yes|ja|sí|oui
i|ich|yo|je
you|du|tú|tu
he|er|él|il
she|sie|ella|elle
it|es|ello|il
we|wir|nosotros|nous
they|sie|ellos|ils
me|mich|me|moi
him|ihn|él|lui
her|ihr|ella|elle
us|uns|nos|nous
them|sie|ellos|eux
my|mein|mi|mon
your|dein|tu|ton
his|sein|su|son
its|sein|su|son
our|unser|nuestro|notre
their|ihr|su|leur
who|wer|quién|qui
what|was|qué|quoi
which|welche|cuál|lequel
when|wann|cuándo|quand
where|wo|dónde|où
why|warum|por qué|pourquoi
how|wie|cómo|comment
there|dort|allí|là
here|hier|aquí|ici
be|sein|ser|être
is|ist|es|est
are|sind|son|sont
am|bin|soy|suis
was|war|era|était
were|waren|eran|étaient
been|gewesen|sido|été
have|haben|tener|avoir
has|hat|tiene|a
had|hatte|tenía|avait
do|tun|hacer|faire
does|tut|hace|fait
did|tat|hizo|fit
can|kann|puede|peut
could|könnte|podría|pourrait
will|wird|va a|va
would|würde|haría|ferait
should|sollte|debería|devrait
may|darf|puede|peut
might|könnte|podría|pourrait
must|muss|debe|doit
don't|nicht|no|ne pas
can't|kann nicht|no puede|ne peut pas
won't|wird nicht|no va a|ne va pas
isn't|ist nicht|no es|n'est pas
it's|es ist|es|c'est
i'm|ich bin|yo soy|je suis
you're|du bist|tú eres|tu es
that's|das ist|eso es|c'est
make|machen|hacer|faire
get|bekommen|obtener|obtenir
go|gehen|ir|aller
come|kommen|venir|venir
use|benutzen|usar|utiliser
know|wissen|saber|savoir
think|denken|pensar|penser
say|sagen|decir|dire
tell|erzählen|contar|raconter
ask|fragen|preguntar|demander
see|sehen|ver|voir
look|schauen|mirar|regarder
want|wollen|querer|vouloir
need|brauchen|necesitar|avoir besoin
help|helfen|ayudar|aider
find|finden|encontrar|trouver
give|geben|dar|donner
take|nehmen|tomar|prendre
put|setzen|poner|mettre
keep|behalten|mantener|garder
let|lassen|dejar|laisser
try|versuchen|intentar|essayer
feel|fühlen|sentir|sentir
work|arbeiten|trabajar|travailler
people|Leute|gente|gens
person|Person|persona|personne
man|Mann|hombre|homme
woman|Frau|mujer|femme
child|Kind|niño|enfant
friend|Freund|amigo|ami
family|Familie|familia|famille
time|Zeit|tiempo|temps
year|Jahr|año|an
day|Tag|día|jour
way|Weg|camino|chemin
thing|Ding|cosa|chose
things|Dinge|cosas|choses
life|Leben|vida|vie
world|Welt|mundo|monde
house|Haus|casa|maison
home|Zuhause|hogar|maison
money|Geld|dinero|argent
water|Wasser|agua|eau
food|Essen|comida|nourriture
part|Teil|parte|partie
place|Ort|lugar|lieu
problem|Problem|problema|problème
question|Frage|pregunta|question
answer|Antwort|respuesta|réponse
step|Schritt|paso|étape
information|Auskunft|información|renseignement
example|Beispiel|ejemplo|exemple
word|Wort|palabra|mot
name|Name|nombre|nom
number|Zahl|número|nombre
hand|Hand|mano|main
good|gut|bueno|bon
bad|schlecht|malo|mauvais
new|neu|nuevo|nouveau
old|alt|viejo|vieux
big|groß|grande|grand
small|klein|pequeño|petit
long|lang|largo|long
important|wichtig|importante|important
different|anders|diferente|différent
same|gleich|mismo|même
other|andere|otro|autre
many|viele|muchos|beaucoup
much|viel|mucho|beaucoup
more|mehr|más|plus
most|meist|más|plus
some|einige|algunos|quelques
any|irgendein|cualquier|quelque
all|alle|todo|tout
every|jede|cada|chaque
each|jede|cada|chaque
very|sehr|muy|très
only|nur|solo|seulement
also|auch|también|aussi
just|nur|solo|juste
now|jetzt|ahora|maintenant
never|nie|nunca|jamais
always|immer|siempre|toujours
often|oft|a menudo|souvent
well|gut|bien|bien
still|noch|todavía|encore
even|sogar|incluso|même
too|zu|demasiado|trop
first|erste|primero|premier
last|letzte|último|dernier
one|eins|uno|un
two|zwei|dos|deux
three|drei|tres|trois
"""

ROWS = tuple(tuple(line.split("|")) for line in _TABLE.strip().split("\n"))
