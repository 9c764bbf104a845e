"""Static files of the local web page: `index.html`, its style and its ES modules."""
