"""Further tasks on Fashion-MNIST, with a ResNet, a vision transformer, deep MLPs and an autoencoder."""
