// The transcript follows the video, and a time in it leads the video there. Without it the list stands.
(function () {
  "use strict";
  var video = document.getElementById("video");
  var list = document.getElementById("lines");
  if (!video || !list) return;
  var later = Number(video.dataset.laterMs) || 0;
  var lines = Array.from(list.querySelectorAll("[data-start-ms]"));
  var starts = lines.map(function (line) { return Number(line.dataset.startMs) + later; });
  var current = null;

  function at(ms) {
    var low = 0, high = starts.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (starts[middle] <= ms) low = middle + 1; else high = middle;
    }
    return low ? lines[low - 1] : null;
  }

  function follow() {
    var line = at(video.currentTime * 1000);
    if (line === current) return;
    if (current) current.removeAttribute("aria-current");
    current = line;
    if (!line) return;
    line.setAttribute("aria-current", "true");
    if (!video.paused) line.scrollIntoView({ block: "nearest" });
  }

  lines.forEach(function (line, number) {
    var time = line.querySelector("dt span");
    var button = document.createElement("button");
    button.type = "button";
    button.className = "secondary quiet";
    button.textContent = time.textContent;
    button.setAttribute("aria-label", "Play from " + time.textContent);
    button.addEventListener("click", function () {
      video.currentTime = Math.max(0, starts[number]) / 1000;
      var playing = video.play();
      if (playing) playing.catch(function () { /* the browser wants a click on the video itself */ });
    });
    time.replaceWith(button);
  });
  video.addEventListener("timeupdate", follow);
  video.addEventListener("seeked", follow);
})();
