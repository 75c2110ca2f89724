"""The web demo of brushwork: a page that identifies artists and generates paintings."""
