// What runs when the page is there; the other scripts are functions alone.

rememberMarkup();
dressTables();
if (document.getElementById("panel")) {
  listenToReader();
  listenToCharts();
  drawCharts();
}
if (isLive) followRun();
