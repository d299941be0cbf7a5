// Fits the frames of mails to their text, and uploads files of a mail while it is written. Pages work without it.
(function () {
  "use strict";
  var TALLEST = 20000;

  function fit(frame) {
    var inside = frame.contentDocument;
    if (!inside || !inside.body) return;
    frame.style.height = "0";
    frame.style.height = Math.min(inside.documentElement.scrollHeight + 8, TALLEST) + "px";
  }

  document.querySelectorAll("iframe.mail-body").forEach(function (frame) {
    function opened() {
      var inside = frame.contentDocument;
      if (!inside) return;
      fit(frame);
      inside.addEventListener("toggle", function () { fit(frame); }, true);
      inside.querySelectorAll("img").forEach(function (image) { image.addEventListener("load", function () { fit(frame); }); });
    }
    frame.addEventListener("load", opened);
    opened();
    var around = frame.closest("details");
    if (around) around.addEventListener("toggle", function () { fit(frame); });
  });

  var form = document.getElementById("write");
  var chooser = document.getElementById("upload");
  if (!form || !chooser) return;
  var list = document.getElementById("attached");
  var said = document.getElementById("uploading");
  var running = 0;

  function hidden(name, value) {
    var field = document.createElement("input");
    field.type = "hidden"; field.name = name; field.value = value;
    return field;
  }

  function words(bytes) {
    var units = ["bytes", "KB", "MB", "GB"], unit = 0;
    while (bytes >= 1000 && unit < 3) { bytes /= 1000; unit += 1; }
    return (unit < 2 || bytes >= 100 ? bytes.toFixed(0) : bytes.toFixed(1)) + " " + units[unit];
  }

  function taken(line, file, made) {
    line.textContent = file.name + " ";
    var about = document.createElement("span");
    about.className = "quiet"; about.textContent = words(made.size_bytes) + " ";
    var out = document.createElement("button");
    out.type = "button"; out.className = "secondary"; out.textContent = "Take out";
    out.setAttribute("aria-label", "Take out " + file.name);
    out.addEventListener("click", function () {
      var gone = new XMLHttpRequest();
      gone.open("DELETE", "/v1/mail/files/" + encodeURIComponent(made.id));
      gone.send();
      line.remove();
      said.textContent = file.name + " is taken out.";
      chooser.focus();
    });
    line.append(about, out, hidden("file", made.id), hidden("file_name", made.name), hidden("file_size", made.size_bytes));
  }

  function failed(line, file, why) {
    line.textContent = file.name + ": " + why;
    line.className = "fault";
    said.textContent = file.name + " is not attached. " + why;
  }

  function upload(file) {
    var line = document.createElement("li");
    list.append(line);
    if (chooser.dataset.max && file.size > Number(chooser.dataset.max)) {
      failed(line, file, "It has " + words(file.size) + "; a file may have " + words(Number(chooser.dataset.max)) + ".");
      return;
    }
    if (chooser.dataset.most && list.querySelectorAll("[name=file], progress").length >= Number(chooser.dataset.most)) {
      failed(line, file, "A mail may have " + chooser.dataset.most + " files.");
      return;
    }
    var bar = document.createElement("progress");
    bar.max = file.size || 1; bar.value = 0;
    bar.setAttribute("aria-label", "Uploading " + file.name);
    line.append(file.name + " ", bar);
    var asked = new XMLHttpRequest();
    var kind = /^[A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+-]+$/.test(file.type) ? file.type : "application/octet-stream";
    asked.open("POST", "/v1/mail/files?name=" + encodeURIComponent(file.name.slice(0, 200)) + "&media_type=" + encodeURIComponent(kind));
    asked.setRequestHeader("Content-Type", "application/octet-stream");
    asked.upload.addEventListener("progress", function (event) { bar.value = event.loaded; });
    asked.addEventListener("loadend", function () {
      running -= 1;
      var answer = {};
      try { answer = JSON.parse(asked.responseText); } catch (_) { /* no problem document: the sentence below */ }
      if (asked.status === 201) { taken(line, file, answer); said.textContent = file.name + " is attached."; }
      else failed(line, file, answer.detail || "It did not arrive. Try again.");
    });
    running += 1;
    said.textContent = file.name + " is being uploaded.";
    asked.send(file);
  }

  function uploadChosen() {
    Array.from(chooser.files).forEach(upload);
    chooser.value = "";
  }
  chooser.addEventListener("change", uploadChosen);
  uploadChosen(); // a person on a slow line chooses files before this script is there
  form.addEventListener("submit", function (event) {
    if (!running) return;
    event.preventDefault();
    said.textContent = "Files are still being uploaded. Send the mail when they are there.";
    said.className = "fault";
  });
})();
