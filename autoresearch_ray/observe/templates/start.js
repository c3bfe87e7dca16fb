// What runs when the page is there; the other scripts are functions alone.

rememberMarkup();
dressTables();
if (isLive) followRun();
