using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>The host's end of a pair of queues: it gives and takes whole frames behind a <see cref="Devices.VirtioNetHeader"/>. One thread uses it at a time, and no call waits.</summary>
internal interface INetEnd : IDisposable
{
    /// <summary>Readable when there are frames, writable when there is room for one; ready for ever once the end is gone. -1 after disposal.</summary>
    int Fd { get; }

    /// <summary>What it is, for messages: <c>tap0</c>.</summary>
    string Name { get; }

    /// <summary>Checksums may be left to it and large segments given to it. Without that, both directions carry frames as they go over a wire.</summary>
    bool HasOffloads { get; }

    /// <summary>Large UDP may be given to it as well.</summary>
    bool HasDatagramOffload { get; }

    /// <summary>A frame was read ahead, of which <see cref="Fd"/> does not tell.</summary>
    bool HasFrame { get; }

    /// <summary>A part of a frame waits for room: <see cref="Flush"/> is to be called when <see cref="Fd"/> is writable.</summary>
    bool HasTail { get; }

    /// <summary>Of several ends of one interface: whether this one gets frames. One that is detached says that it is gone to whoever listens.</summary>
    void SetAttached(bool attached);

    /// <summary>0 if the interface works, EIO if it is down, EBADFD if it is gone.</summary>
    int State();

    /// <summary>Says what may come in large or without a checksum; false if the host refuses.</summary>
    bool SetOffloads(TapOffloads offloads);

    /// <summary>Takes one frame: its bytes, more than <paramref name="into"/> has if it was cut short; or minus the error number.</summary>
    int Receive(PacketVectors into);

    /// <summary>Sends one frame, whose scratch memory holds the headers: bytes that were taken, or minus the error number.</summary>
    int Send(PacketVectors frame);

    /// <summary>Sends what is left of a frame; 0, or the error number.</summary>
    int Flush();
}
