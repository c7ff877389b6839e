namespace MicroVm.Fuzz;

/// <summary>A second processor of the guest: does something again and again until it is disposed.</summary>
/// <remarks>A seed gives the same flips in the same order. When they meet what the device does is the host's affair,
/// and no seed brings it back.</remarks>
internal sealed class SecondThread : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _over;

    internal SecondThread(int seed, Action<Random> flip)
    {
        _thread = new Thread(() =>
        {
            Random random = new(seed);
            while (!_over)
            {
                flip(random);
                // Not always at full speed: values that stay for a while get further.
                if (random.Next(64) == 0) Thread.SpinWait(random.Next(500));
                // The others have to get somewhere where there are only two processors.
                if (random.Next(64) == 0) _ = Thread.Yield();
            }
        });
        _thread.Start();
    }

    public void Dispose()
    {
        _over = true;
        _thread.Join();
    }
}
