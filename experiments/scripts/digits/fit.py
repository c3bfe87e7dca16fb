"""Handwritten digits of 8 x 8 pixels, by a small network of scikit-learn's. Prints its accuracy."""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

HIDDEN = 24  # units; search log_int(8, 128)
LEARNING_RATE = 0.0005  # of Adam; search log(0.0001, 0.1)
BATCH = 64  # images a step; search log_int(8, 256)
ALPHA = 0.0001  # L2 penalty; search log(0.00001, 10.0)
ACTIVATION = "logistic"  # of the hidden layer; search choice("logistic", "tanh", "relu")
EPOCHS = 20  # over the training images, a fixed number

images, labels = load_digits(return_X_y=True)
images = images / 16
train, validation, holdout = slice(0, 900), slice(900, 1350), slice(1350, None)

model = MLPClassifier(
    (HIDDEN,),
    activation=ACTIVATION,
    alpha=ALPHA,
    batch_size=BATCH,
    learning_rate_init=LEARNING_RATE,
    max_iter=EPOCHS,
    tol=0,
)
for _ in range(EPOCHS):
    model.partial_fit(images[train], labels[train], classes=range(10))

print("parameters:", sum(weights.size for weights in [*model.coefs_, *model.intercepts_]))
print("holdout_accuracy:", model.score(images[holdout], labels[holdout]))
print("accuracy:", model.score(images[validation], labels[validation]))
